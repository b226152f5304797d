"""Domain walls in PFM series: drift, masks, walls, patches along them."""
