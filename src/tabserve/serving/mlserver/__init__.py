"""All that knows MLServer: its settings, its models, its process."""
