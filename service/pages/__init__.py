"""The pages that people open in a browser: templates, figures and what they are made of."""
