"""Clock, money, keys, policy and settings: what every stage needs. Imports nothing else of this package."""
