"""Following the log of a training job: where it comes from (`sources`), its lines, and what they mean (`presets`)."""
