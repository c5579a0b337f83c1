"""Code that fails twice on each event and then accepts it, to show what `hookgate listen` does: consume.md runs it."""

import http.server
import json
from collections import Counter

attempts = Counter()


class Code(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        attempts[event["source"], event["id"]] += 1
        self.send_response(500 if attempts[event["source"], event["id"]] <= 2 else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", 3000), Code).serve_forever()
