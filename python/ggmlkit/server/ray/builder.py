"""The deployments of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig

from ggmlkit.server.ray.engine import Engine
from ggmlkit.server.ray.ingress import Ingress
from ggmlkit.server.ray.plan import Plan, plan_of
from ggmlkit.server.ray.responses import Responses

ROUTER: Final = "ggmlkit.server.ray.router.BeginningRouter"
_LOAD: Final = 0.75  # of a replica's answers at a time, that autoscaling aims at
_REPLICAS_OF_INGRESS: Final = 8  # which move bytes only
_PASSED_ON: Final = 2000  # requests that an ingress holds at a time


def built(args: Mapping[str, Any]) -> Any:
    """The application of the words behind ``serve run``; raises as :func:`plan_of` does."""
    return application(plan_of(args))


def application(plan: Plan) -> Any:
    """What ``serve.run`` deploys: the ingress, behind it the replicas of the engine, behind those
    what keeps responses.
    """
    limits, parallel = plan.settings.limits, plan.settings.engine.parallel
    engine = serve.deployment(
        name="Engine",
        **_count(plan),
        max_ongoing_requests=parallel,  # more go to another replica
        max_queued_requests=limits.waiting if limits.waiting else -1,
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        ray_actor_options={"num_cpus": plan.cores},
        health_check_period_s=5,
        health_check_timeout_s=30,
        graceful_shutdown_wait_loop_s=1,
        graceful_shutdown_timeout_s=limits.drain_seconds,
    )(Engine)
    ingress = serve.deployment(
        name="Ingress",
        num_replicas=-(-plan.most // _REPLICAS_OF_INGRESS),
        max_ongoing_requests=_PASSED_ON,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=limits.drain_seconds,
    )(serve.ingress()(Ingress))
    responses = serve.deployment(
        name="Responses",
        num_replicas=1,
        max_ongoing_requests=_PASSED_ON,
        ray_actor_options={"num_cpus": 0},
    )(Responses)
    of_replicas = replace(plan.settings, cors_origins=())  # of which the ingress tells
    return ingress.bind(
        engine.bind(of_replicas, responses.bind(plan.settings.store)), plan.settings
    )


def _count(plan: Plan) -> dict[str, Any]:
    """How many replicas of the engine."""
    if plan.fewest == plan.most:
        return {"num_replicas": plan.most}
    wanted = max(1.0, _LOAD * plan.settings.engine.parallel)
    config = AutoscalingConfig(
        min_replicas=plan.fewest,
        max_replicas=plan.most,
        target_ongoing_requests=wanted,
        upscale_delay_s=10,
        downscale_delay_s=300,
    )
    return {"autoscaling_config": config}
