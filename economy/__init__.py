"""What a running node never needs: builders of rewards from records, simulations, and their reports."""
