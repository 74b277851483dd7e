"""HTTP mechanics: targets, parameters, bodies, errors, answers. No use case in sight."""
