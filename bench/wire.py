"""A client of PostgreSQL's protocol, just enough to ask a question over a Unix socket and to time the answer.

psql takes some ten milliseconds to start; an outage of a tenth of a second wants a finer ruler.
"""
import socket
import struct


class ServerError(Exception):
    def __init__(self, fields):
        self.sqlstate = fields.get("C", "")
        detail = fields.get("D", "")
        super().__init__(f"{fields.get('S', '')} {self.sqlstate}: {fields.get('M', '')} {detail}".strip())


class Gone(Exception):
    """The connection ended without a word."""


class Client:
    def __init__(self, directory, port, timeout=None, application="bench"):
        self.notices = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.buffer = b""
        try:
            self.socket.connect(f"{directory}/.s.PGSQL.{port}")
            names = {"user": "postgres", "database": "postgres", "application_name": application}
            body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in names.items()) + b"\0"
            self.socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
            self._until_ready()
        except BaseException:
            self.socket.close()
            raise

    def close(self):
        self.socket.close()

    def query(self, text):
        """Rows of text values (None for NULL) of the last statement that returned any."""
        body = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return self._until_ready()

    def one(self, text):
        rows = self.query(text)
        return rows[0][0] if rows else None

    def record(self, text):
        """The first row as a dictionary."""
        rows = self.query(text)
        return dict(zip(self.columns, rows[0])) if rows else {}

    def _read(self, size):
        while len(self.buffer) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise Gone("the server closed the connection")
            self.buffer += chunk
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _until_ready(self):
        rows, error = [], None
        self.columns = []
        while True:
            kind, size = struct.unpack("!ci", self._read(5))
            body = self._read(size - 4)
            if kind == b"T":
                rows = []
                self.columns = self._columns(body)
            elif kind == b"D":
                rows.append(self._row(body))
            elif kind in (b"E", b"N"):
                fields = {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
                if kind == b"N":
                    self.notices.append(fields.get("M", ""))
                    continue
                error = ServerError(fields)
                if fields.get("S") in ("FATAL", "PANIC"):
                    raise error
            elif kind == b"Z":
                if error:
                    raise error
                return rows
            elif kind == b"R" and struct.unpack("!i", body[:4])[0] != 0:
                raise Gone("the server asks for a password")

    @staticmethod
    def _columns(body):
        names, at = [], 2
        for _ in range(struct.unpack("!h", body[:2])[0]):
            end = body.index(b"\0", at)
            names.append(body[at:end].decode())
            at = end + 19
        return names

    @staticmethod
    def _row(body):
        values, at = [], 2
        for _ in range(struct.unpack("!h", body[:2])[0]):
            size = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            if size < 0:
                values.append(None)
            else:
                values.append(body[at:at + size].decode())
                at += size
        return values
