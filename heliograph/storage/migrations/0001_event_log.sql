-- Control tables: read across tenants, small, never the log itself.

create table schema_version (
    number bigint primary key,
    name text not null,
    applied_at bigint not null
);

create table instance (
    name text primary key,
    value {bytes} not null
);

create table counter (
    name text primary key,
    value bigint not null
);

create table tenant (
    id bigint primary key,
    uid {bytes} not null unique,
    parent_id bigint references tenant (id),
    root_id bigint not null,
    kind text not null,
    name text not null,
    short_name text not null,
    reject_reserved_codes bigint not null,
    created_at bigint not null,
    version bigint not null,
    unique (root_id, short_name)
);

create table tenant_closure (
    ancestor_id bigint not null references tenant (id),
    descendant_id bigint not null references tenant (id),
    depth bigint not null,
    primary key (ancestor_id, descendant_id)
) {clustered};

create index tenant_closure_up on tenant_closure (descendant_id, ancestor_id);

create table account (
    id bigint primary key,
    uid {bytes} not null unique,
    tenant_id bigint not null references tenant (id),
    name text not null,
    created_at bigint not null,
    revoked_at bigint,
    version bigint not null
);

create index account_by_tenant on account (tenant_id, id);

create table api_key (
    id bigint primary key,
    uid {bytes} not null unique,
    tenant_id bigint not null references tenant (id),
    account_id bigint not null references account (id),
    name text not null,
    hash {bytes} not null unique,
    hint text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

create index api_key_by_tenant on api_key (tenant_id, id);

create index api_key_by_account on api_key (account_id, id);

create table access_grant (
    uid {bytes} primary key,
    holder text not null,
    holder_id bigint not null,
    tenant_id bigint not null references tenant (id),
    name text not null,
    created_at bigint not null,
    unique (holder, holder_id, tenant_id, name)
);

-- Tenant tables: every key and every statement starts with tenant_id.

create table event_type (
    tenant_id bigint not null,
    type text not null,
    schema {bytes},
    default_code bigint,
    default_criticality bigint,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    primary key (tenant_id, type)
);

create table head (
    tenant_id bigint primary key,
    next_seq bigint not null,
    last_recorded_at bigint not null
);

create table event (
    tenant_id bigint not null,
    seq bigint not null,
    recorded_at bigint not null,
    id_key bigint not null,
    occurred_at bigint,
    grade bigint not null,
    code bigint,
    type_key bigint,
    target_type_key bigint,
    target_id_key bigint,
    actor_key bigint,
    related bigint not null,
    envelope {bytes} not null,
    primary key (tenant_id, seq)
);

create table payload (
    tenant_id bigint not null,
    seq bigint not null,
    salt {bytes} not null,
    content {bytes} not null,
    primary key (tenant_id, seq)
);

create table dedup (
    tenant_id bigint not null,
    identity {bytes} not null,
    fingerprint {bytes} not null,
    receipt {bytes} not null,
    stored_at bigint not null,
    primary key (tenant_id, identity)
) {clustered};

create table follower (
    tenant_id bigint not null,
    name text not null,
    position bigint not null,
    primary key (tenant_id, name)
) {clustered};

create table event_facet (
    tenant_id bigint not null,
    facet bigint not null,
    value bigint not null,
    seq bigint not null,
    primary key (tenant_id, facet, value, seq)
) {clustered};

create table event_time (
    tenant_id bigint not null,
    occurred_at bigint not null,
    seq bigint not null,
    primary key (tenant_id, occurred_at, seq)
) {clustered}
