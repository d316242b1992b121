"""Boards and what lies on them: as much of them as a gallery reader meets (FACTS §7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from service.demo.answers import Problem, json_answer, new_id, stamp
from service.demo.images import Image
from service.demo.store import Store
from tests.fakes.invokeai.access import USER
from tests.fakes.invokeai.http import invalid, query_bool, query_int, read_field, read_json
from tests.fakes.invokeai.images import FullImages, remove

Json = dict[str, Any]

_ROOT = "/api/v1/boards"


@dataclass
class Board:
    board_id: str
    board_name: str
    user_id: str
    created_at: str
    updated_at: str
    archived: bool = False


class Boards:
    """The boards of one server and their routes."""

    def __init__(self, store: Store, images: FullImages, now: Callable[[], datetime]) -> None:
        self._store, self._images, self._now = store, images, now
        self._by_id = {board.board_id: board for board in store.read("boards", Board)}

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"{_ROOT}/", self.page, allow_head=False)
        app.router.add_post(f"{_ROOT}/", self.create)
        app.router.add_get(f"{_ROOT}/{{board_id}}", self.get, allow_head=False)
        app.router.add_patch(f"{_ROOT}/{{board_id}}", self.patch)
        app.router.add_delete(f"{_ROOT}/{{board_id}}", self.delete)
        app.router.add_get(f"{_ROOT}/{{board_id}}/image_names", self.image_names, allow_head=False)
        app.router.add_post("/api/v1/board_images/", self.put_image)
        app.router.add_delete("/api/v1/board_images/", self.take_image)

    def exists(self, board_id: str) -> bool:
        return board_id in self._by_id

    def _board(self, request: web.Request) -> Board:
        board = self._by_id.get(request.match_info["board_id"])
        if board is None:
            raise Problem(404, "Board not found")
        return board

    def _on(self, board_id: str) -> list[Image]:
        return self._images.select(board_id=board_id)

    def _dto(self, board: Board) -> Json:
        images = [image for image in self._on(board.board_id) if not image.is_intermediate]
        assets = sum(image.image_category != "general" for image in images)
        return {
            "board_id": board.board_id,
            "board_name": board.board_name,
            "user_id": board.user_id,
            "created_at": board.created_at,
            "updated_at": board.updated_at,
            "deleted_at": None,
            "cover_image_name": images[0].image_name if images else None,
            "archived": board.archived,
            "board_visibility": "private",
            "cover_video_name": None,
            "image_count": len(images) - assets,
            "video_count": 0,
            "asset_count": assets,
            "owner_username": None,
        }

    def _save(self, board: Board) -> None:
        self._by_id[board.board_id] = board
        self._store.put("boards", {board.board_id: board})

    async def page(self, request: web.Request) -> web.Response:
        user = USER.get()
        mine = [self._dto(board) for board in self._by_id.values() if user.owns(board.user_id)]
        if query_bool(request, "all"):
            return json_answer(mine)
        offset, limit = query_int(request, "offset", 0), query_int(request, "limit", 10)
        return json_answer(
            {"limit": limit, "offset": offset, "total": len(mine), "items": mine[offset : offset + limit]}
        )

    async def create(self, request: web.Request) -> web.Response:
        user, name = USER.get(), request.query.get("board_name")
        if name is None:
            raise invalid("missing", ["query", "board_name"], "Field required", None)
        at = stamp(self._now())
        board = Board(new_id(), name, user.user_id, at, at)
        self._save(board)
        return json_answer(self._dto(board), 201)

    async def get(self, request: web.Request) -> web.Response:
        return json_answer(self._dto(self._board(request)))

    async def patch(self, request: web.Request) -> web.Response:
        board, changes = self._board(request), await read_json(request) or {}
        board.board_name = changes.get("board_name", board.board_name)
        board.archived = changes.get("archived", board.archived)
        board.updated_at = stamp(self._now())[:-4]
        self._save(board)
        return json_answer(self._dto(board), 201)

    async def delete(self, request: web.Request) -> web.Response:
        """Its images become uncategorised, or go too with `include_images=true`."""
        board = self._board(request)
        names = [image.image_name for image in self._on(board.board_id)]
        together = query_bool(request, "include_images") is True
        if together:
            self._images.remove(names)
        for image in self._on(board.board_id):
            self._images.update(image, board_id=None)
        del self._by_id[board.board_id]
        remove(self._store, "boards", [board.board_id])
        return json_answer(
            {
                "board_id": board.board_id,
                "deleted_board_images": [] if together else names,
                "deleted_images": names if together else [],
                "deleted_board_videos": [],
                "deleted_videos": [],
                "failed_images": [],
                "failed_videos": [],
            }
        )

    async def image_names(self, request: web.Request) -> web.Response:
        if request.match_info["board_id"] != "none":
            self._board(request)
        return json_answer([image.image_name for image in self._on(request.match_info["board_id"])])

    async def put_image(self, request: web.Request) -> web.Response:
        board_id = await read_field(request, "board_id")
        return await self._place(request, board_id, "added_images")

    async def take_image(self, request: web.Request) -> web.Response:
        return await self._place(request, None, "removed_images")

    async def _place(self, request: web.Request, board_id: str | None, key: str) -> web.Response:
        name = await read_field(request, "image_name")
        image = self._images.find(name)
        if image is None or (board_id is not None and not self.exists(board_id)):
            raise Problem(404, "Board or image not found")
        boards = dict.fromkeys(
            place or "none" for place in (*((board_id,) if key == "removed_images" else ()), image.board_id, board_id)
        )
        self._images.update(image, board_id=board_id)
        return json_answer({"affected_boards": list(boards), key: [name], "failed_images": []}, 201)
