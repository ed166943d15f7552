"""First floor: how the body answers. Flows, equations, engine, regimens, endpoints."""
