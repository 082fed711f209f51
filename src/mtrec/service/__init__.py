"""A trained model behind HTTP: requests, events that change answers, a log that loses none."""
