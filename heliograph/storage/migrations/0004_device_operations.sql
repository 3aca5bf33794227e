-- When an operation of ours last had a say in what the lock holds of a code.
alter table access_code add column settled_at bigint;

-- The digits that a code is to have, or may have already, while an update is under way or in doubt.
alter table access_code add column wanted_pin_index {bytes};

create index access_code_by_wanted_pin on access_code (tenant_id, device_uid, wanted_pin_index);

-- Whether a device has ever said that it is connected, or that it is not.
alter table device_presence add column says_connected bigint not null default 1;

-- What connectors are asked to do at devices. It is done to `subject_uid`, such as an access code.
create table device_operation (
    tenant_id bigint not null,
    uid {bytes} not null,
    kind text not null,
    state text not null,
    device_uid {bytes} not null,
    account_uid {bytes} not null,
    subject_uid {bytes} not null,
    request {bytes} not null,
    created_at bigint not null,
    deadline bigint not null,
    leased_until bigint not null,
    holder {bytes},
    attempts bigint not null,
    completed_at bigint,
    occurred_at bigint,
    completion {bytes},
    errors {bytes} not null,
    warnings {bytes} not null,
    primary key (tenant_id, uid)
);

create index device_operation_by_state on device_operation (tenant_id, state, uid);

create index device_operation_by_lease on device_operation (tenant_id, state, leased_until, uid);

create index device_operation_by_account on device_operation (tenant_id, account_uid, state, leased_until, uid);

create index device_operation_by_device on device_operation (tenant_id, device_uid, state, leased_until, uid);

create index device_operation_by_deadline on device_operation (tenant_id, state, deadline, uid);

create index device_operation_by_subject on device_operation (tenant_id, subject_uid, uid)
