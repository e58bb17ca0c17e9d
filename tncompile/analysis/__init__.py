"""Read-only figures about stages."""
