"""What one visitor may ask for: enough for a photo and a sentence, too little to exhaust a shared machine."""

MAX_FILE_BYTES = 20_000_000
MAX_REQUEST_BYTES = 1_000_000  # of anything that is not an upload
MAX_PIXELS = 50_000_000  # 150 MB once decoded to RGB
MAX_TEXT = 1_000  # characters of a text to translate
MAX_CANDIDATE = 300
CANDIDATES = (2, 6)
MAX_BATCH_FILES = 32
MAX_WAITING = 64  # events that the server keeps, beside those that wait for their turn
AT_ONCE = 2  # requests that use the model at the same time
ASKED_AT_ONCE = 4  # requests of one visitor that wait or work
IN_LINE = 32  # requests of all visitors that wait or work: each keeps a thread
SESSIONS = 100  # each may keep the attention of one caption, about 1 MB at full size
KEEP_FILES_SECONDS = 3600
EMOJI = (1, 3)
