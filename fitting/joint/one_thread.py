"""Many small matrices are quicker on one thread of the linear algebra library than on several."""

from threadpoolctl import threadpool_limits

on_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""Decorator: OpenBLAS and its kin use one thread while it runs; on two cores learning is three times quicker."""
