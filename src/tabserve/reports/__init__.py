"""What is known of a model, for people: tables, figures, the model card."""
