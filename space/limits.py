"""What one visitor may ask for: enough for a photo and a sentence, too little to exhaust a shared machine."""

MAX_FILE_BYTES = 20_000_000
MAX_REQUEST_BYTES = 1_000_000  # of anything that is not an upload
MAX_PIXELS = 50_000_000  # 150 MB once decoded to RGB
MAX_TEXT = 1_000  # characters of a text to translate
MAX_CANDIDATE = 300
CANDIDATES = (2, 6)
MAX_BATCH_FILES = 32
MAX_WAITING = 64  # events that the server keeps, beside those that wait for their turn
BEGUN = 8  # pieces of work that the model has begun: each keeps its memory while others have their turn
TURN_SECONDS = 0.05  # of a visitor at the model, while others wait
PATIENCE_SECONDS = 1  # that a batch waits for other work
AT_DOOR = 8  # requests of one visitor that are looked at: beyond ASKED_AT_ONCE they are refused with less work
ASKED_AT_ONCE = 4  # requests of one visitor that wait or work
IN_LINE = 32  # requests of all visitors that wait or work: each keeps a thread
SESSIONS = 100  # each may keep the attention of one caption, about 1 MB at full size
KEEP_FILES_SECONDS = 3600  # Gradio looks as often, so that a file lives for two such times at most
UPLOADED_BYTES = 1_000_000_000  # of one visitor, while files are kept
UPLOADED_BYTES_BY_ALL = 10_000_000_000
EMOJI = (1, 3)
