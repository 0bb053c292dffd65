#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/api.md describes every route of the table in tools/api_routes.c, and no other.

usage: api_doc.py API_ROUTES_C API_MD
"""
import re
import sys


def main():
    code, page = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
    routes = set(re.findall(r'\{"(GET|POST)", "([^"]+)"', code))
    written = {
        (method, re.sub(r"/[A-Z]{2,}", "/{}", url))
        for method, url in re.findall(r"`(GET|POST) (/v1/[^?`]+)", page)
    }
    wrong = [f"not described: {' '.join(route)}" for route in routes - written]
    wrong += [f"not there: {' '.join(route)}" for route in written - routes]
    if not routes:
        wrong.append("no routes found")
    print("\n".join(sorted(wrong)) or f"{len(routes)} routes are described")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
