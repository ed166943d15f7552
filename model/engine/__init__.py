"""The only place that integrates: code generation, the stepper, the cache of compiled code, the referee."""
