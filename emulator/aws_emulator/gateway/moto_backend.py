"""moto, which answers for the services that are not emulated here.

Its state is global to the process, so a process can hold one emulator at a time.
"""

from __future__ import annotations

import os
from typing import Final

from aws_emulator.gateway.passthrough import WsgiApp

_SETTINGS: Final = {
    # The 1,300 images that moto knows are not this account's: EC2's images are emulated here.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def start_moto() -> WsgiApp:
    """moto's WSGI application with an empty account."""
    # moto reads its settings when it is imported, so they come first.
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from moto.core.base_backend import BackendDict  # noqa: PLC0415
    from moto.core.model_instances import reset_model_data  # noqa: PLC0415
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )

    BackendDict.reset()
    reset_model_data()
    application: WsgiApp = DomainDispatcherApplication(create_backend_app)
    return application
