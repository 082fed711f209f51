// Requests to the service. The key is kept here, in memory, and nowhere else.

let key = "";

export function useKey(given) {
  key = given;
}

/** What the service refused, with its status and its sentence. */
export class Refused extends Error {
  constructor(status, said) {
    super(said);
    this.status = status;
  }
}

/** The answer to GET, or to POST if there is a body. */
export async function ask(path, body) {
  const headers = key ? { "X-API-Key": key } : {};
  const how = body === undefined ? { headers } : {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, how);
  } catch {
    throw new Refused(0, "The service does not answer; is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, found.error ?? `Status ${answer.status}.`);
  return found;
}

/** GET with a query. */
export function look(path, query) {
  return ask(`${path}?${new URLSearchParams(query)}`);
}
