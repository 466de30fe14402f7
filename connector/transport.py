"""The pooled HTTP client that every `Client` shares unless it is given one.

Making one costs 20 ms for its certificates, using one costs nothing; it may be shared between threads.
"""

from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

KEEPALIVE = 120.0
"""Seconds that an idle connection is kept: a person thinks longer than the library's default of 5."""


@lru_cache(maxsize=1)
def shared_http_client() -> httpx2.Client:
    """Follows no redirects, since the prompt would go along, and takes nothing from the environment.

    It keeps no cookies: one person's would go along with the next person's call.
    """
    return httpx2.Client(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=KEEPALIVE),
    )
