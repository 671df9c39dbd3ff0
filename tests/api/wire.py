"""HTTP over a bare socket, for what no client library would send."""
import socket


def open_socket(base, timeout=10.0):
    host, port = base.removeprefix("http://").rsplit(":", 1)
    made = socket.create_connection((host.strip("[]"), int(port)), timeout)
    return made


class Answer:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}


def read_answer(sock):
    """One answer with its Content-Length body; None when the peer closed without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1)
        if not piece:
            return None
        data += piece
    answer = Answer(data)
    if answer.status not in (100, 204, 304):
        length = int(answer.headers.get("content-length", 0))
        while len(answer.body) < length:
            piece = sock.recv(length - len(answer.body))
            if not piece:
                break
            answer.body += piece
    return answer


def closed(sock, seconds=5.0):
    """Does the peer close within this time? What it still sends is thrown away."""
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def exchange(base, data, timeout=10.0):
    """Sends bytes on a new connection; the answers up to the end of the connection or a second of silence, and whether
    the connection was closed."""
    answers = []
    with open_socket(base, timeout) as sock:
        sock.sendall(data)
        try:
            while (answer := read_answer(sock)) is not None:
                answers.append(answer)
                sock.settimeout(0.3)
        except TimeoutError:
            return answers, False
        except ConnectionError:
            pass
    return answers, True
