-- Names the set of endpoints that get the events of the tenant's log: another random number whenever it changes.
alter table head add column endpoints bigint not null default 0;

create table endpoint (
    tenant_id bigint not null,
    uid {bytes} not null,
    url text not null,
    state text not null,
    settings {bytes} not null,
    secrets {bytes} not null,
    health {bytes} not null,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, uid)
);

-- Whose events an endpoint gets, from which seq on: its own tenant's, and a company's those of all below it.
create table endpoint_reach (
    tenant_id bigint not null,
    endpoint_uid {bytes} not null,
    owner_id bigint not null,
    from_seq bigint not null,
    primary key (tenant_id, endpoint_uid)
);

create index endpoint_reach_by_owner on endpoint_reach (owner_id, endpoint_uid, tenant_id);

-- Events that matched while the endpoint was disabled lie in these intervals, the last of which may be open.
create table endpoint_gap (
    tenant_id bigint not null,
    endpoint_uid {bytes} not null,
    from_seq bigint not null,
    to_seq bigint,
    primary key (tenant_id, endpoint_uid, from_seq)
);

-- By event before endpoint, here and for attempts: what is claimed and settled together then lies together on disk.
-- `due_at` is also the lease of whoever holds the claim. Attempts that are forgiven do not count for the schedule.
create table delivery (
    tenant_id bigint not null,
    endpoint_uid {bytes} not null,
    seq bigint not null,
    event_uid {bytes} not null,
    state bigint not null,
    due_at bigint not null,
    entity_key bigint,
    attempts bigint not null,
    forgiven bigint not null default 0,
    claim {bytes},
    error_class text,
    created_at bigint not null,
    settled_at bigint,
    exhausted_at bigint,
    primary key (tenant_id, seq, endpoint_uid)
) {clustered};

create index delivery_due on delivery (tenant_id, endpoint_uid, due_at, seq) where state = 0;

create index delivery_by_entity on delivery (tenant_id, endpoint_uid, entity_key, seq)
    where state = 0 and entity_key is not null;

create index delivery_of_endpoint on delivery (tenant_id, endpoint_uid, seq);

-- Few deliveries fail for good, so that these cost nothing. Those that are delivered are found by the primary key.
create index delivery_failed_of_endpoint on delivery (tenant_id, endpoint_uid, state, seq) where state > 1;

create index delivery_failed on delivery (tenant_id, state, seq, endpoint_uid) where state > 1;

create table delivery_attempt (
    tenant_id bigint not null,
    endpoint_uid {bytes} not null,
    seq bigint not null,
    number bigint not null,
    started_at bigint not null,
    error_class text not null,
    status bigint,
    detail {bytes} not null,
    primary key (tenant_id, seq, endpoint_uid, number)
) {clustered};

-- How many attempts ended how, by five minutes of the clock.
create table delivery_count (
    tenant_id bigint not null,
    period bigint not null,
    endpoint_uid {bytes} not null,
    error_class {key} not null,
    attempts bigint not null,
    primary key (tenant_id, period, endpoint_uid, error_class)
) {clustered};

-- A control table: which tenants have something to deliver, and which worker sees to it.
create table due_tenant (
    tenant_id bigint primary key,
    next_due bigint not null,
    holder {bytes},
    leased_until bigint not null
);

create index due_tenant_by_time on due_tenant (next_due)
