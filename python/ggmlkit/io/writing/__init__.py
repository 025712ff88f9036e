"""Files written a part at a time, that appear whole or not at all."""
