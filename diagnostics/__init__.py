"""What a dying runner said and did, and what that means: pure functions over bytes and exit statuses."""
