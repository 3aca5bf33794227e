-- Tenant tables: every key and every statement starts with tenant_id.

create table connected_account (
    tenant_id bigint not null,
    uid {bytes} not null,
    name text not null,
    name_key {key} not null,
    provider text not null,
    state text not null,
    custom_metadata {bytes} not null,
    errors {bytes} not null,
    warnings {bytes} not null,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index connected_account_by_name on connected_account (tenant_id, name_key, uid);

create index connected_account_by_state on connected_account (tenant_id, state, uid);

alter table device add column connected_account_uid {bytes};

create index device_by_connected_account on device (tenant_id, connected_account_uid, uid);

-- What a lock is known to hold, and the versions under which reports are applied.

create table lock_report (
    tenant_id bigint not null,
    device_uid {bytes} not null,
    reported_at bigint not null,
    version bigint not null,
    complete_version bigint not null,
    primary key (tenant_id, device_uid)
);

create table access_code (
    tenant_id bigint not null,
    uid {bytes} not null,
    device_uid {bytes} not null,
    managed bigint not null,
    status text not null,
    type text not null,
    name text,
    name_key {key},
    external_id text,
    pin {bytes},
    pin_index {bytes},
    starts_at bigint,
    ends_at bigint,
    cannot_be_managed bigint not null,
    cannot_delete bigint not null,
    external_modification_allowed bigint not null,
    errors {bytes} not null,
    warnings {bytes} not null,
    found_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index access_code_by_device on access_code (tenant_id, device_uid, uid);

create index access_code_by_name on access_code (tenant_id, name_key, uid);

create index access_code_by_external_id on access_code (tenant_id, device_uid, external_id);

create index access_code_by_pin on access_code (tenant_id, device_uid, pin_index)
