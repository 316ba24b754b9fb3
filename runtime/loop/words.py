"""An exception as a few words for a log, whatever the exception is."""

_LONGEST = 200


def words(error: BaseException) -> str:
    """Type and message on one line, at most 200 characters; never raises."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # a foreign type whose own text fails
        text = type(error).__name__
    return " ".join(text.split())[:_LONGEST]
