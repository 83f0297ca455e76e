"""Models come and go; checkpoints are for those who may use them."""

import pytest

from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions,
    CreateFineTuningJob,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobCheckpoints,
    RetrieveFineTuningJob,
)
from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


@pytest.fixture
async def job(service, upload, pairs):
    """A job that has succeeded."""
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    service.clock.jump(3600)
    return await service.execute(RetrieveFineTuningJob(job.id))


@pytest.mark.parametrize(
    "name", ["davinci-002", "gpt-4o-mini", "ada", "text-embedding-3-small", "gpt-4.1-nano"]
)
async def test_base_models_are_there_and_stay(service, name):
    model = await service.execute(RetrieveModel(name))
    keys = {"id", "object", "created", "owned_by", "shutdown_date"}
    assert model.model_dump(exclude_unset=True).keys() == keys
    with pytest.raises(ServiceError, match="is a base model") as caught:
        await service.execute(DeleteModel(name))
    assert caught.value.status == 403
    assert name in {model.id for model in (await service.execute(ListModels())).data}


async def test_how_a_base_model_refuses_can_be_set():
    service = Service(behavior=ServiceBehavior(base_model_status=400))
    with pytest.raises(ServiceError) as caught:
        await service.execute(DeleteModel("ada"))
    assert caught.value.status == 400


async def test_an_unknown_model_is_the_services_404(service):
    for operation in (RetrieveModel("gpt-x"), DeleteModel("gpt-x")):
        with pytest.raises(ServiceError) as caught:
            await service.execute(operation)
        assert caught.value.status == 404
        assert caught.value.body()["error"] == {
            "message": "The model 'gpt-x' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }


async def test_a_deleted_model_is_gone_and_its_checkpoints_stay(service, job):
    name = job.fine_tuned_model
    deleted = await service.execute(DeleteModel(name))
    assert deleted.model_dump() == {"id": name, "object": "model", "deleted": True}
    with pytest.raises(ServiceError, match="does not exist"):
        await service.execute(RetrieveModel(name))
    page = await service.execute(ListFineTuningJobCheckpoints(job.id))
    assert await service.execute(RetrieveModel(page.data[1].fine_tuned_model_checkpoint))


async def test_permissions_are_given_listed_and_taken_back(service, job):
    name = job.fine_tuned_model
    given = await service.execute(
        CreateCheckpointPermissions(name, project_ids=["proj_a", "proj_b"])
    )
    assert [permission.project_id for permission in given.data] == ["proj_a", "proj_b"]
    assert given.data[0].id.startswith("cp_")
    newest = await service.execute(ListCheckpointPermissions(name))
    assert [permission.project_id for permission in newest.data] == ["proj_b", "proj_a"]
    oldest = await service.execute(ListCheckpointPermissions(name, order="ascending", limit=1))
    assert ([permission.project_id for permission in oldest.data], oldest.has_more) == (
        ["proj_a"],
        True,
    )
    of_b = await service.execute(ListCheckpointPermissions(name, project_id="proj_b"))
    assert len(of_b.data) == 1
    gone = await service.execute(
        DeleteCheckpointPermission(given.data[0].id, fine_tuned_model_checkpoint=name)
    )
    assert gone.model_dump() == {
        "id": given.data[0].id,
        "object": "checkpoint.permission",
        "deleted": True,
    }
    left = await service.execute(ListCheckpointPermissions(name))
    assert [permission.project_id for permission in left.data] == ["proj_b"]


async def test_a_project_has_one_permission_however_often_it_is_given(service, job):
    ask = CreateCheckpointPermissions(job.fine_tuned_model, project_ids=["proj_a", "proj_a"])
    first = await service.execute(ask)
    again = await service.execute(ask)
    assert first.data == again.data
    assert len(first.data) == 1


async def test_permissions_are_for_tuned_models_only(service):
    for name in ("davinci-002", "ft:x"):
        with pytest.raises(ServiceError, match="does not exist"):
            await service.execute(ListCheckpointPermissions(name))


async def test_an_unknown_permission_is_a_404(service, job):
    with pytest.raises(ServiceError, match="Could not find checkpoint permission: cp_x") as caught:
        await service.execute(
            DeleteCheckpointPermission("cp_x", fine_tuned_model_checkpoint=job.fine_tuned_model)
        )
    assert caught.value.status == 404
