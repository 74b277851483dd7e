CREATE TABLE workspaces (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	"database" TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_workspaces PRIMARY KEY (id), 
	CONSTRAINT uq_workspaces_name UNIQUE (name), 
	CONSTRAINT uq_workspaces_database UNIQUE ("database")
);
CREATE TABLE catalog_schema (
	version INTEGER NOT NULL
);
CREATE TABLE catalog_tombstones (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_catalog_tombstones PRIMARY KEY (id)
);
CREATE TABLE catalog_version (
	version BIGINT NOT NULL
);
CREATE TABLE datasources (
	id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	schema_text TEXT NOT NULL, 
	engine_options TEXT NOT NULL, 
	indexes TEXT NOT NULL, 
	type TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	tags TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_datasources PRIMARY KEY (id), 
	CONSTRAINT uq_datasources_workspace_id_name UNIQUE (workspace_id, name), 
	CONSTRAINT fk_datasources_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE TABLE tokens (
	id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	origin_type TEXT NOT NULL, 
	origin_resource_id TEXT, 
	secret_version BIGINT NOT NULL, 
	builtin TEXT, 
	created_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_tokens PRIMARY KEY (id), 
	CONSTRAINT uq_tokens_workspace_id_name UNIQUE (workspace_id, name), 
	CONSTRAINT fk_tokens_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX ix_catalog_tombstones_changed_version ON catalog_tombstones (changed_version);
CREATE INDEX ix_datasources_changed_version ON datasources (changed_version);
CREATE INDEX ix_tokens_changed_version ON tokens (changed_version);
CREATE INDEX ix_workspaces_changed_version ON workspaces (changed_version);
CREATE UNIQUE INDEX uq_tokens_builtin ON tokens (workspace_id, builtin);
INSERT INTO "workspaces" VALUES('3cc33b26-0afe-4a67-b6fe-32dd14fde4d8','Tinybird_Local_Testing','ws_3cc33b260afe',1.7953364794662549495e+09,1);
INSERT INTO "workspaces" VALUES('53704826-c1f7-408c-8cb7-08a7617e745f','acme','ws_53704826c1f7',1.79533647947881937027e+09,2);
INSERT INTO "catalog_schema" VALUES(1);
INSERT INTO "catalog_tombstones" VALUES('1c269f37-d7c3-4569-bfcd-2ad6e1e474ab','workspaces',3);
INSERT INTO "catalog_version" VALUES(3);
INSERT INTO "datasources" VALUES('t_6aa8ed354b6645b0b1685b4efbec8d66','53704826-c1f7-408c-8cb7-08a7617e745f','events','what happened: it''s ünïcode','`at` DateTime `json:$.at`,
`city` Nullable(String) `json:$.city`','{"engine":"MergeTree","engine_sorting_key":"at"}','["INDEX i city TYPE bloom_filter GRANULARITY 4"]','ndjson',1,'{"team":"growth"}',1.79533647947881937027e+09,1.79533647947881937027e+09,2);
INSERT INTO "tokens" VALUES('a9e9b9fe-8611-42d3-9adc-6515a6441e70','3cc33b26-0afe-4a67-b6fe-32dd14fde4d8','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.7953364794662549495e+09,1);
INSERT INTO "tokens" VALUES('c909ec6c-abe3-4674-bcd3-64e76f6982c2','3cc33b26-0afe-4a67-b6fe-32dd14fde4d8','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.7953364794662549495e+09,1);
INSERT INTO "tokens" VALUES('1c408243-0e83-4d0f-830f-9fade70e61db','3cc33b26-0afe-4a67-b6fe-32dd14fde4d8','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.7953364794662549495e+09,1);
INSERT INTO "tokens" VALUES('1dde6ec6-1509-4e13-a6a4-5000d6e0d73a','3cc33b26-0afe-4a67-b6fe-32dd14fde4d8','user local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'user',1.7953364794662549495e+09,1);
INSERT INTO "tokens" VALUES('8e4b4022-a2b8-4bcd-9a8b-1f6a798b1494','53704826-c1f7-408c-8cb7-08a7617e745f','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.79533647947881937027e+09,2);
INSERT INTO "tokens" VALUES('e670b289-ac95-4c20-adb2-843c9a52964c','53704826-c1f7-408c-8cb7-08a7617e745f','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.79533647947881937027e+09,2);
INSERT INTO "tokens" VALUES('cdc65b20-db13-46b9-a2dd-9c8b1bf6f13b','53704826-c1f7-408c-8cb7-08a7617e745f','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.79533647947881937027e+09,2);
INSERT INTO "tokens" VALUES('a7a57d22-355b-480e-b266-ed95c9a25328','53704826-c1f7-408c-8cb7-08a7617e745f','reader','','["DATASOURCES:READ:t_6aa8ed354b6645b0b1685b4efbec8d66:city = ''Bonn''"]','C',NULL,1,NULL,1.79533647947881937027e+09,2);
