"""The encoding of a text file: given, by its byte-order mark, UTF-8, or found where its bytes leave one explanation."""

import codecs
import re
import unicodedata
from pathlib import Path

from xlearn.runtime.errors import Problem

# UTF-32's mark begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The most frequent characters of written Chinese: about half of any text. By chance 1 % of the characters are among them.
FREQUENT = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去"
    "法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又"
    "关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先"
)
FREQUENT_SHARE = 0.1
# Marks of Windows-1252 that stand within words; all others stand beside them.
IN_WORDS = frozenset("\u2019\u00b7\u00ad")
USUAL = frozenset("äöüÄÖÜßéèêëàâçôûùîïñáíóúÁÉÍÓÚÑãõâêôåøæÅØÆœ")
SHOWN = 20


def decoded(file: Path, content: bytes, encoding: str | None) -> tuple[str, str | None]:
    """(the text, the name of an encoding that was found and is not Unicode). Raises `Problem` with the line of the first byte
    that does not fit, and where several encodings could be meant.
    """
    for mark, name in MARKS:
        if content.startswith(mark):
            return _strictly(file, content, name), None
    if encoding is not None:
        return _strictly(file, content, encoding), None
    if content[:4096].count(0) > len(content[:4096]) // 5:
        raise Problem(f"file={file} holds bytes 0, as UTF-16 without a byte-order mark. Set encoding=utf-16-le or utf-16-be.")
    try:
        return content.decode(), None
    except UnicodeDecodeError as error:
        where, byte = _line(content, error.start), content[error.start]
    chinese, western = _chinese(content), _western(content)
    if chinese and not western:
        return content.decode("gb18030"), "gb18030"
    if western and not chinese:
        return content.decode("cp1252"), "windows-1252"
    raise Problem(
        f"file={file}: line {where} is not UTF-8 (byte 0x{byte:02x}), and its encoding cannot be told from its bytes. Set "
        f"encoding, e.g. encoding={_readings(content)}, or save the file as UTF-8."
    )


def _strictly(file: Path, content: bytes, encoding: str) -> str:
    try:
        codecs.lookup(encoding)
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Problem(
            f"file={file}: line {_line(content, error.start)} is not {encoding} (byte 0x{content[error.start]:02x}). Set "
            "encoding to that of the file, e.g. windows-1252, or null to find it."
        ) from error
    except UnicodeError as error:
        raise Problem(f"file={file} is not {encoding} ({error}). Set encoding to that of the file.") from error
    except (LookupError, ValueError) as error:
        raise Problem(
            f"encoding={encoding}: Python knows no such encoding of texts. Give e.g. utf-8, windows-1252, gb18030, shift_jis."
        ) from error


def _line(content: bytes, position: int) -> int:
    return content[:position].count(b"\n") + 1


def _runs(content: bytes) -> list[bytes]:
    return re.findall(rb"[\x80-\xff]+", content)


def _chinese(content: bytes) -> bool:
    """Whether the bytes are GB18030 (GBK, GB2312), and the characters those of Chinese texts."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    foreign = [each for each in text if each > "\x7f"]
    written = [each for each in foreign if "\u4e00" <= each <= "\u9fff"]
    frequent = sum(each in FREQUENT for each in written)
    return len(written) > 0.6 * len(foreign) and frequent > max(2, FREQUENT_SHARE * len(written))


def _western(content: bytes) -> bool:
    """Whether the bytes are Windows-1252 (Latin-1): single letters with accents in words of plain letters, and marks."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return False
    runs = _runs(content)
    # Other alphabets have whole words of such bytes.
    if sum(len(run) > 2 for run in runs) > 0.02 * len(runs):
        return False
    found = re.findall(r"(?=(.?)([^\x00-\x7f])(.?))", text)
    letters = [each for _, each, _ in found if unicodedata.category(each).startswith("L")]
    if any(
        each not in IN_WORDS and not each.isalpha() and before.isalpha() and after.isalpha() for before, each, after in found
    ):
        return False
    # Of other code pages with single letters (Polish, Macintosh) most are not the usual ones.
    return sum(each in USUAL for each in letters) >= 0.8 * len(letters)


def _readings(content: bytes) -> str:
    """The first foreign letters in each encoding that fits, for a message."""
    found = re.search(rb"[^\n]{0,8}[\x80-\xff][^\n]{0,12}", content)
    some = found.group() if found else b""
    readings = []
    for name in ("windows-1252", "gb18030", "windows-1251", "shift_jis"):
        try:
            content.decode(name)
        except UnicodeDecodeError:
            continue
        readings.append(f"{name} ({some.decode(name, 'ignore').strip()[:SHOWN]!r})")
    return " or ".join(readings) or "shift_jis"
