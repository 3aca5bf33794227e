-- Control tables: read across tenants.

-- Who has enrolled an identifier. The primary key is the claim: of two registrations that race, one gets it.
create table device_identifier (
    identifier text primary key,
    tenant_id bigint not null references tenant (id),
    device_uid {bytes} not null
) {clustered};

create index device_identifier_by_device on device_identifier (tenant_id, device_uid);

-- By which identifiers recipes wait for a device. The key keeps live recipes apart within their organization.
create table recipe_identifier (
    identifier text not null,
    tenant_id bigint not null references tenant (id),
    recipe_uid {bytes} not null,
    primary key (identifier, tenant_id)
) {clustered};

create index recipe_identifier_by_recipe on recipe_identifier (tenant_id, recipe_uid);

create table device_token (
    hash {bytes} primary key,
    tenant_id bigint not null references tenant (id),
    device_uid {bytes} not null,
    created_at bigint not null
) {clustered};

create index device_token_by_device on device_token (tenant_id, device_uid);

create table job (
    uid {bytes} primary key,
    tenant_id bigint not null references tenant (id),
    kind text not null,
    state text not null,
    actor {bytes} not null,
    parameters {bytes} not null,
    position {bytes} not null,
    done bigint not null,
    total bigint,
    result {bytes},
    error text,
    cancel_requested bigint not null,
    lease_owner {bytes},
    lease_until bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    finished_at bigint,
    version bigint not null
);

create index job_by_tenant on job (tenant_id, uid);

create index job_by_state on job (state, uid);

create table lease (
    name text primary key,
    owner {bytes} not null,
    held_until bigint not null
);

-- Tenant tables: every key and every statement starts with tenant_id.

create table job_input (
    tenant_id bigint not null,
    job_uid {bytes} not null,
    part bigint not null,
    content {bytes} not null,
    primary key (tenant_id, job_uid, part)
);

create table job_row (
    tenant_id bigint not null,
    job_uid {bytes} not null,
    number bigint not null,
    outcome text not null,
    detail {bytes} not null,
    primary key (tenant_id, job_uid, number)
);

create index job_row_by_outcome on job_row (tenant_id, job_uid, outcome, number);

create table job_mark (
    tenant_id bigint not null,
    job_uid {bytes} not null,
    mark text not null,
    value {bytes} not null,
    primary key (tenant_id, job_uid, mark)
) {clustered};

create table tag (
    tenant_id bigint not null,
    uid {bytes} not null,
    name text not null,
    name_key {key} not null,
    parent_uid {bytes},
    created_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index tag_by_name on tag (tenant_id, name_key, uid);

create index tag_by_parent on tag (tenant_id, parent_uid, uid);

create table location (
    tenant_id bigint not null,
    uid {bytes} not null,
    name text not null,
    name_key {key} not null,
    address text,
    metadata {bytes} not null,
    created_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index location_by_name on location (tenant_id, name_key, uid);

create table policy (
    tenant_id bigint not null,
    uid {bytes} not null,
    name text not null,
    name_key {key} not null,
    items {bytes} not null,
    created_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index policy_by_name on policy (tenant_id, name_key, uid);

create table device (
    tenant_id bigint not null,
    uid {bytes} not null,
    state text not null,
    brand text not null,
    brand_key text not null,
    model text,
    serial_number text,
    serial_key {key},
    mac_address {key},
    name text,
    name_key {key},
    policy_uid {bytes},
    location_uid {bytes},
    metadata {bytes} not null,
    recipe_uid {bytes},
    verification_hash text,
    enrolled_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index device_by_state on device (tenant_id, state, uid);

create index device_by_serial on device (tenant_id, serial_key, uid);

create index device_by_mac on device (tenant_id, mac_address, uid);

create index device_by_name on device (tenant_id, name_key, uid);

create index device_by_policy on device (tenant_id, policy_uid, uid);

create index device_by_location on device (tenant_id, location_uid, uid);

create table device_tag (
    tenant_id bigint not null,
    device_uid {bytes} not null,
    tag_uid {bytes} not null,
    primary key (tenant_id, device_uid, tag_uid)
) {clustered};

create index device_tag_by_tag on device_tag (tenant_id, tag_uid, device_uid);

create table device_presence (
    tenant_id bigint not null,
    device_uid {bytes} not null,
    last_seen_at bigint not null,
    reported_at bigint not null,
    connection_uid {bytes},
    session text,
    connected_at bigint,
    server_instance_uid {bytes},
    battery_level bigint,
    errors {bytes} not null,
    warnings {bytes} not null,
    primary key (tenant_id, device_uid)
);

create index device_presence_by_silence on device_presence (tenant_id, last_seen_at, device_uid)
    where connection_uid is not null;

create table device_telemetry (
    tenant_id bigint not null,
    device_uid {bytes} not null,
    name text not null,
    data {bytes} not null,
    updated_at bigint not null,
    primary key (tenant_id, device_uid, name)
) {clustered};

create table recipe (
    tenant_id bigint not null,
    uid {bytes} not null,
    status text not null,
    brand text not null,
    brand_key text not null,
    model text,
    serial_number text,
    serial_key {key},
    mac_address {key},
    device_name text,
    name_key {key},
    policy_uid {bytes},
    location_uid {bytes},
    metadata {bytes} not null,
    confirmed_ownership bigint not null,
    on_repeat text not null,
    warning_message text,
    error_message text,
    faulty_fields {bytes} not null,
    row_digest {bytes},
    device_uid {bytes},
    claim_hash {bytes},
    claim_expires_at bigint,
    claim_used_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

create index recipe_by_status on recipe (tenant_id, status, uid);

create index recipe_by_brand on recipe (tenant_id, brand_key, uid);

create index recipe_by_serial on recipe (tenant_id, serial_key, uid);

create index recipe_by_mac on recipe (tenant_id, mac_address, uid);

create index recipe_by_name on recipe (tenant_id, name_key, uid);

create index recipe_by_policy on recipe (tenant_id, policy_uid, uid);

create index recipe_by_location on recipe (tenant_id, location_uid, uid);

create index recipe_by_device on recipe (tenant_id, device_uid, uid);

-- Only rows of files that were kept with their faults have a digest.
create index recipe_by_row on recipe (tenant_id, row_digest) where row_digest is not null;

create table recipe_tag (
    tenant_id bigint not null,
    recipe_uid {bytes} not null,
    tag_uid {bytes} not null,
    primary key (tenant_id, recipe_uid, tag_uid)
) {clustered};

create index recipe_tag_by_tag on recipe_tag (tenant_id, tag_uid, recipe_uid);

create table claim_try (
    tenant_id bigint not null,
    recipe_uid {bytes} not null,
    caller_uid {bytes} not null,
    tries bigint not null,
    began_at bigint not null,
    primary key (tenant_id, recipe_uid, caller_uid)
) {clustered};

create table registration_attempt (
    tenant_id bigint not null,
    uid {bytes} not null,
    digest {bytes} not null,
    recipe_uid {bytes},
    reason text not null,
    brand text not null,
    model text,
    serial_number text,
    mac_address text,
    caller_uid {bytes} not null,
    first_at bigint not null,
    last_at bigint not null,
    tries bigint not null,
    primary key (tenant_id, uid),
    unique (tenant_id, digest)
);

create index registration_attempt_by_recipe on registration_attempt (tenant_id, recipe_uid, uid);

create index registration_attempt_by_reason on registration_attempt (tenant_id, reason, uid)
