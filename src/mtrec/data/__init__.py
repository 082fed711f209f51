"""From raw files to the model's arrays; nothing here knows a data set."""
