"""What a client is refused, as an HTTP answer: OpenAI's clients and Ollama's each read errors of their own shape."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from lsp.errors import MidlineError

# The end of an engine's message about a prompt that is too long (`Scheduler._too_long`).
_TOO_LONG = "fit into a context"
_BODY_UNREAD = (401, 403, 408, 413, 503)


class RefusedError(MidlineError):
    """A request that isn't carried out.

    Args:
        message: what is wrong with it.
        cure: what to do about it.
        status: of HTTP.
        code: as OpenAI's API names it, where it has a name.
        param: the field that is wrong.
        retry_after: after how many seconds it may be tried again; 0: that won't help.
    """

    def __init__(
        self, message: str, cure: str = "", *, status: int = 400, code: str = "", param: str = "", retry_after: int = 0
    ) -> None:
        super().__init__(message, cure)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after

    @classmethod
    def of(cls, error: MidlineError) -> RefusedError:
        """An error of midline's as a refusal: all but a prompt that is too long is this side's fault."""
        if isinstance(error, RefusedError):
            return error
        if _TOO_LONG in error.message:
            return cls(error.message, error.cure, code="context_length_exceeded", param="messages")
        return cls(error.message, error.cure, status=500)

    def as_openai(self) -> dict[str, Any]:
        """The body of an error as OpenAI's clients read it."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        details = {"message": str(self), "type": kind, "param": self.param or None, "code": self.code or None}
        return {"error": details}

    def as_ollama(self) -> dict[str, Any]:
        """The body of an error as Ollama's clients read it."""
        return {"error": str(self)}

    def response(self, path: str) -> JSONResponse:
        """The answer to a request for ``path``."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.status in _BODY_UNREAD:
            headers["Connection"] = "close"  # or the server would read on, however much comes
        if self.retry_after:
            headers["Retry-After"] = str(self.retry_after)
        body = self.as_ollama() if path.startswith("/api/") else self.as_openai()
        return JSONResponse(body, self.status, headers)
