"""Reports on a model for people: tables, figures and the model card."""
