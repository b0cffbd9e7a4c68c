#!/usr/bin/python3
"""A web server for the demonstration: page.py ADDRESS TITLE"""

import html
import http.server
import sys


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = (f"<!DOCTYPE html><title>Warren</title><h1>{html.escape(sys.argv[2])}</h1>\n"
                f"<p>You come from {self.client_address[0]}.</p>\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


http.server.ThreadingHTTPServer((sys.argv[1], 80), Page).serve_forever()
