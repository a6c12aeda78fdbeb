"""Cards: templates, facts and result files of `hub_cards` rendered."""
