"""All code that depends on MLServer: its settings, its models, its process."""
