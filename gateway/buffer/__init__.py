"""The waist: rows between the request that brought them and the insert that stores them, durable and bounded."""
