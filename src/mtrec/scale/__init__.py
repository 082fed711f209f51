"""Every user at once: lists of a whole domain, from processes of this machine or of a cluster."""
