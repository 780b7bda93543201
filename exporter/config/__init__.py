"""The config file: text to settings or every problem at once, and settings to targets and jobs."""
