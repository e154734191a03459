"""Bundle what the chat page's controllers work with."""

from dataclasses import dataclass
from pathlib import Path

from app.engine_bridge import EngineBridge
from app.notices import Notices
from app.settings import Settings
from app.storage.conversations import Conversations
from app.storage.messages import Messages
from app.storage.models import ModelRecords
from app.storage.pictures import Pictures
from app.storage.votes import Votes


@dataclass(frozen=True)
class ChatServices:
    """Hold the engine, the storage and the ways to the user; application.py makes it."""

    bridge: EngineBridge
    conversations: Conversations
    messages: Messages
    votes: Votes
    pictures: Pictures
    records: ModelRecords
    settings: Settings
    notices: Notices
    picture_cache: Path
    thread_cache: Path
