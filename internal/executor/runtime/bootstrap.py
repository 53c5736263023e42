"""Runs a Python handler: asks the Runtime API for invocations and answers them.

Started as: python3 -S -u bootstrap.py LIBRARY:LIBRARY...

Behaves like the runtime interface client of AWS Lambda, and starts faster: -S skips the site module, whose result
(where packages are installed) is the argument; the HTTP client is a socket; and logging is set up when it is imported.
The response and the request for the next invocation are sent together, which saves a round trip.
"""

import builtins
import importlib
import json
import os
import sys
import time

import _sitebuiltins
import _socket
from importlib.machinery import PathFinder

# Where the standard library is, which a module of the function must not hide from this file.
_standard = [p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__))]


def _search_path():
    """What sys.path is on AWS: the function first, layers, the interpreter's own, installed packages."""
    task = os.environ["LAMBDA_TASK_ROOT"]
    first = [task, "/opt/python/lib/python%d.%d/site-packages" % sys.version_info[:2], "/opt/python"]
    inherited = [p for p in _standard if p not in first]
    libraries = [p for p in sys.argv.pop().split(":") if p and p not in inherited]
    return first + inherited + libraries


# The package of a version does not change, so no compiled files are written next to it.
sys.dont_write_bytecode = True
# The rest of what the site module does.
builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")

_request_id = None


class _Fault(Exception):
    """An error of the runtime rather than of the handler."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


# ---- Runtime API ----------------------------------------------------------------------------------


# What an invocation in the compact form has before its payload, a line each: see compact.go.
_compact_fields = (
    "lambda-runtime-deadline-ms",
    "lambda-runtime-aws-request-id",
    "lambda-runtime-invoked-function-arn",
    "lambda-runtime-trace-id",
    "lambda-runtime-client-context",
    "lambda-runtime-cognito-identity",
)


class _Client:
    """One keep-alive connection to the Runtime API."""

    def __init__(self, address, inherited):
        self._compact = inherited
        if inherited:  # descriptor 3
            os.set_inheritable(3, False)
            self._socket = _socket.socket(fileno=3)
        else:
            host, port = address.rsplit(":", 1)
            self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self._socket.connect((host, int(port)))
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._pending = b""
        self._next = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %b\r\n\r\n" % address.encode()
        if inherited:
            self._next = b"\x01"

    def ask(self):
        self._send(self._next)

    def _send(self, data):
        view = memoryview(data)
        while view:
            view = view[self._socket.send(view) :]

    def receive(self):
        """Returns status, headers with lower-case names, and body."""
        data = self._pending or self._receive()
        if data[0] == 2:
            while len(data) < 9:
                data += self._receive()
            end = 9 + int.from_bytes(data[1:5], "little")
            while len(data) < end:
                data += self._receive()
            headers = dict(zip(_compact_fields, data[9:end].decode("latin-1").split("\n")))
            return 200, headers, self._body(data, end, int.from_bytes(data[5:9], "little"))
        end = data.find(b"\r\n\r\n")
        while end < 0:
            data += self._receive()
            end = data.find(b"\r\n\r\n")
        lines = data[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return int(lines[0][9:12]), headers, self._body(data, end + 4, int(headers.get("content-length", 0)))

    def _receive(self):
        data = self._socket.recv(65536)
        if not data:
            # The server is gone, and this environment with it.
            os._exit(1)
        return data

    def _body(self, data, start, length):
        """The length bytes that come after the start of data."""
        have = len(data) - start
        if have >= length:
            self._pending = data[start + length :]
            return data[start : start + length]
        body = bytearray(length)
        body[:have] = data[start:]
        view = memoryview(body)[have:]
        while view:
            count = self._socket.recv_into(view)
            if not count:
                os._exit(1)
            view = view[count:]
        self._pending = b""
        return bytes(body)

    def invocation(self):
        """Waits for the invocation that has been asked for."""
        while True:
            status, headers, body = self.receive()
            if "lambda-runtime-aws-request-id" in headers:
                return headers, body
            # The acknowledgement of a response. A refusal concerns an invocation that is over.
            if status >= 400 and status != 413:
                sys.stderr.write("The Runtime API refused a response: %d %s\n" % (status, body.decode("utf-8", "replace")))

    def post_stream(self, path, items, failure):
        """Posts what an iterator yields, while it does; then asks for the next invocation.

        failure describes an exception: its error type, and the error that the caller gets, in base64.
        """
        item = next(items, b"")  # what fails before the first byte is no response
        kind = b"application/octet-stream"
        if isinstance(item, dict):
            kind = b"application/vnd.awslambda.http-integration-response"
            item = _encode(item) + bytes(8)
        else:
            item = _octets(item)
        self._send(
            b"POST /2018-06-01/runtime/%b HTTP/1.1\r\nHost: runtime\r\nContent-Type: %b\r\n"
            b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n" % (path.encode(), kind)
        )
        trailers = b""
        try:
            while True:
                if item:  # an empty chunk would be the end
                    self._send(b"%x\r\n" % len(item))
                    self._send(item)
                    self._send(b"\r\n")
                item = _octets(next(items))
        except StopIteration:
            pass
        except Exception as error:
            trailers = b"Lambda-Runtime-Function-Error-Type: %b\r\nLambda-Runtime-Function-Error-Body: %b\r\n" % failure(error)
        self._send(b"0\r\n" + trailers + b"\r\n" + self._next)

    def respond(self, request_id, body, kind):
        """Posts what a handler has returned, and asks for the next invocation."""
        if not self._compact:
            self.post("invocation/%s/response" % request_id, body, kind)
            return
        name = request_id.encode("latin-1")
        head = b"\x02%c%b%b" % (len(name), len(body).to_bytes(4, "little"), name)
        if len(body) <= 65536:
            self._send(head + body)
        else:
            self._send(head)
            self._send(body)

    def post(self, path, body, extra=b"", then_ask=True):
        head = b"POST /2018-06-01/runtime/%b HTTP/1.1\r\nHost: runtime\r\nContent-Length: %d\r\n%b\r\n" % (
            path.encode(),
            len(body),
            extra,
        )
        follow = self._next if then_ask else b""
        if len(body) <= 65536:
            self._send(head + body + follow)
        else:
            self._send(head)
            self._send(body)
            if follow:
                self._send(follow)


# ---- JSON -----------------------------------------------------------------------------------------

# What stands for a number of arbitrary precision in a string until the string is finished.
_number_mark = "\x00%s:" % os.urandom(8).hex()


class _Encoder(json.JSONEncoder):
    def default(self, value):
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            return "%s%s\x00" % (_number_mark, value)
        return super().default(value)

    def encode(self, value):
        text = super().encode(value)
        mark = '"\\u0000' + _number_mark[1:]
        if mark not in text:
            return text
        first, *rest = text.split(mark)
        return first + "".join(part.replace('\\u0000"', "", 1) for part in rest)


def _escapes(runtime):
    """Runtimes before Python 3.12 escape what is not ASCII."""
    minor = runtime.rpartition("python3.")[2]
    return minor.isdigit() and int(minor) < 12


_encoder = None  # see main


def _encode(value):
    return _encoder.encode(value).encode("utf-8", "surrogatepass")


# ---- Log ------------------------------------------------------------------------------------------


_json_logs = False  # see main
_json_time = "%Y-%m-%dT%H:%M:%SZ"


def _json_line(fields):
    return json.dumps(fields, ensure_ascii=False, default=repr) + "\n"


def _log_error(error):
    if _json_logs:
        head = {"timestamp": time.strftime(_json_time, time.gmtime()), "log_level": "ERROR"}
        sys.stdout.write(_json_line(head | error))
        return
    text = "[ERROR]"
    if error["errorType"]:
        text += " " + error["errorType"]
    if error["errorMessage"]:
        text += (":" if error["errorType"] else "") + " " + error["errorMessage"]
    lines = [text, "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines() or [""]:
            bare = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(bare)) + bare)
    # A carriage return is a line break inside one log event.
    sys.stdout.write("\r".join(line.replace("\n", "\r") for line in lines) + "\n")


def _setup_logging(logging):
    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            sys.stdout.write(self.format(record).rstrip("\n").replace("\n", "\r") + "\n")

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = _request_id or ""
            return True

    class JSONFormatter(logging.Formatter):
        standard = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "aws_request_id"}

        def format(self, record):
            line = {
                "timestamp": self.formatTime(record, _json_time),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
                "requestId": record.aws_request_id or None,
            }
            if record.exc_info and record.exc_info[0]:
                import traceback

                line["stackTrace"] = traceback.format_tb(record.exc_info[2])
                line["errorType"] = record.exc_info[0].__name__
                line["errorMessage"] = str(record.exc_info[1])
                line["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            for name, value in record.__dict__.items():
                if name not in self.standard:
                    line.setdefault(name, value)
            return _json_line({name: value for name, value in line.items() if value is not None})

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if _json_logs:
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(
            logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
                "%Y-%m-%dT%H:%M:%S",
            )
        )
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    if level == "TRACE":
        root.setLevel(logging.NOTSET)
    elif level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)


class _StandardFinder:
    """Finds the modules that this file imports only when it needs them.

    Logging takes long to import, and most handlers that do not log never do. It is set up when it is imported.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in ("logging", "traceback"):
            return None
        spec = PathFinder.find_spec(name, _standard)
        if name == "logging":
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _setup_logging(module)

            spec.loader.exec_module = exec_module
        return spec


# ---- Context --------------------------------------------------------------------------------------


class _Record:
    """An object with the given attributes, None where the source has none."""

    __slots__ = ()

    def __init__(self, source):
        for name in self.__slots__:
            setattr(self, name, source.get(name))

    def __repr__(self):
        return "%s([%s])" % (
            type(self).__name__,
            ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__),
        )


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")


_place = {}  # what every context says of the function; see main


def _read_place():
    for name, variable in (
        ("log_group_name", "AWS_LAMBDA_LOG_GROUP_NAME"),
        ("log_stream_name", "AWS_LAMBDA_LOG_STREAM_NAME"),
        ("function_name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("memory_limit_in_mb", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        ("function_version", "AWS_LAMBDA_FUNCTION_VERSION"),
    ):
        _place[name] = os.environ.get(variable)


class LambdaContext:
    def __init__(self, headers):
        self.__dict__.update(_place)
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = None
        client = _json_header(headers, "lambda-runtime-client-context", "Client Context")
        if client is not None:
            self.client_context = ClientContext(client)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        self.identity = CognitoIdentity({})
        identity = _json_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity")
        if identity is not None:
            self.identity.cognito_identity_id = identity.get("cognitoIdentityId")
            self.identity.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")
        self._epoch_deadline_time_in_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join(
            "%s=%s" % (name, getattr(self, name))
            for name in (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            )
        )


def _json_header(headers, name, title):
    value = headers.get(name)
    if not value:
        return None
    try:
        parsed = json.loads(value.encode("latin-1"))
        if not isinstance(parsed, dict):
            raise ValueError("not an object")
        return parsed
    except ValueError as error:
        raise _Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (title, error))


# ---- Handler --------------------------------------------------------------------------------------


def _load(name):
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise _Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error))
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise _Fault(
            "Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise _Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        raise _Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '%s': %s" % (module_name, error),
            ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)],
        )
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise _Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


def _frames(error):
    """The frames of an exception from the first that is not of this file on."""
    import traceback

    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    for index, frame in enumerate(frames):
        if frame[0] != __file__:
            return frames[index:]
    return frames


def _describe(error, request_id):
    """What the caller gets of an exception, and what X-Ray does."""
    if isinstance(error, _Fault):
        kind, message, frames, trace = error.kind, error.message, [], error.trace or []
    else:
        import traceback

        kind, message = type(error).__name__, str(error)
        frames = _frames(error)
        trace = traceback.format_list(frames)
    described = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    cause = {
        "working_directory": os.getcwd(),
        "exceptions": [
            {
                "message": message,
                "type": "LambdaValidationError" if isinstance(error, _Fault) else kind,
                "stack": [{"label": f[2], "path": f[0], "line": f[1]} for f in frames],
            }
        ],
        "paths": sorted({f[0] for f in frames}),
    }
    return described, cause


def _error_headers(described, cause):
    cause = json.dumps(cause)  # in ASCII
    header = "Content-Type: application/json\r\n"
    if len(cause) < 1024 * 1024:
        header += "Lambda-Runtime-Function-XRay-Error-Cause: %s\r\n" % cause
    kind = described["errorType"]
    if kind.isascii() and kind.isprintable():
        header += "Lambda-Runtime-Function-Error-Type: %s\r\n" % kind
    return header.encode("ascii")


def _streamed(response):
    """An iterator over the parts of a response that a handler yields, or None for any other response."""
    if hasattr(response, "__next__"):
        return response
    if hasattr(response, "__anext__"):
        return _in_event_loop(response)
    return None


def _in_event_loop(parts):
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                part = loop.run_until_complete(parts.__anext__())
            except StopAsyncIteration:
                return
            yield part
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _octets(part):
    if isinstance(part, str):
        return part.encode("utf-8")
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    raise _Fault(
        "Runtime.MarshalError", "Unable to stream a part of type %s: use bytes or str" % type(part).__name__
    )


def _failure(error, request_id):
    """Logs an exception in the middle of a response, and describes it in the trailers."""
    import binascii

    described, _ = _describe(error, request_id)
    _log_error(described)
    kind = described["errorType"]
    if not (kind.isascii() and kind.isprintable()):
        kind = "Exception"
    body = _encode(described)
    if len(body) > 512 * 1024:  # the trailers have to fit into 1 MiB
        described.update(errorMessage=described["errorMessage"][: 64 * 1024], stackTrace=[])
        body = _encode(described)
    return kind.encode(), binascii.b2a_base64(body, newline=False)


def _handle(client, handler, headers, body):
    """Runs the handler and posts what it returns, or what went wrong."""
    request_id = headers["lambda-runtime-aws-request-id"]
    try:
        context = LambdaContext(headers)
        event = body
        if headers.get("content-type", "application/json") == "application/json":
            try:
                event = json.loads(body)
            except ValueError as error:
                raise _Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        response = handler(event, context)
        parts = _streamed(response)
        if parts is not None:
            client.post_stream("invocation/%s/response" % request_id, parts, lambda error: _failure(error, request_id))
            return
        kind = b"Content-Type: application/json\r\n"
        if isinstance(response, bytes):
            kind = b"Content-Type: application/unknown\r\n"
        else:
            try:
                response = _encode(response)
            except Exception as error:
                raise _Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
        client.respond(request_id, response, kind)
    except Exception as error:
        described, cause = _describe(error, request_id)
        _log_error(described)
        client.post("invocation/%s/error" % request_id, _encode(described), _error_headers(described, cause))


def _wait():
    """Waits until the function is known: on descriptor 3, as zygote.cjs does. What follows there is the Runtime API."""

    def read(length):
        data = b""
        while len(data) < length:
            more = os.read(3, length - len(data))
            if not more:
                os._exit(0)  # nobody needs it
            data += more
        return data

    told = json.loads(read(int.from_bytes(read(4), "little")))
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}  # by the interpreter (PEP 538)
    os.environ.clear()
    os.environ.update(coerced, **told["env"])
    os.chdir(told["dir"])
    time.tzset()


def main():
    global _encoder, _json_logs, _request_id
    inherited = os.environ.pop("_SERIN_SOCKET", None) is not None
    if "_SERIN_ZYGOTE" in os.environ:
        _wait()
        inherited = True
    sys.path[:] = _search_path()
    _json_logs = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    _encoder = _Encoder(ensure_ascii=_escapes(os.environ.get("AWS_EXECUTION_ENV", "")))
    _read_place()
    client = _Client(os.environ["AWS_LAMBDA_RUNTIME_API"], inherited)
    sys.meta_path.insert(0, _StandardFinder)
    try:
        handler = _load(os.environ["_HANDLER"])
    except Exception as error:
        described, cause = _describe(error, "")
        _log_error(described)
        client.post("init/error", _encode(described), _error_headers(described, cause), then_ask=False)
        client.receive()
        sys.exit(1)
    client.ask()
    while True:
        headers, body = client.invocation()
        _request_id = headers["lambda-runtime-aws-request-id"]
        trace = headers.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        _handle(client, handler, headers, body)


if __name__ == "__main__":
    main()
