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
CREATE TABLE jobs (
	id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	status TEXT NOT NULL, 
	token_id TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	datasource_id TEXT NOT NULL, 
	datasource_name TEXT NOT NULL, 
	pipe_id TEXT NOT NULL, 
	pipe_name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	state TEXT NOT NULL, 
	shown TEXT NOT NULL, 
	shown_first TEXT NOT NULL, 
	progress DOUBLE NOT NULL, 
	error TEXT NOT NULL, 
	errors TEXT NOT NULL, 
	place TEXT NOT NULL, 
	attempts BIGINT NOT NULL, 
	failures BIGINT NOT NULL, 
	lease TEXT NOT NULL, 
	due_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX ix_catalog_tombstones_changed_version ON catalog_tombstones (changed_version);
CREATE INDEX ix_datasources_changed_version ON datasources (changed_version);
CREATE INDEX ix_jobs_due_at ON jobs (due_at);
CREATE INDEX ix_jobs_listed ON jobs (workspace_id, created_at);
CREATE INDEX ix_tokens_changed_version ON tokens (changed_version);
CREATE INDEX ix_workspaces_changed_version ON workspaces (changed_version);
CREATE UNIQUE INDEX uq_tokens_builtin ON tokens (workspace_id, builtin);
INSERT INTO "workspaces" VALUES('95ab13a0-8d21-492a-aec4-29a9304bc13a','Tinybird_Local_Testing','ws_95ab13a08d21',1.79533648108258652689e+09,1);
INSERT INTO "workspaces" VALUES('c840362a-0a6d-4add-8ff8-cf0f2faa9290','acme','ws_c840362a0a6d',1.79533648109468936919e+09,2);
INSERT INTO "catalog_schema" VALUES(2);
INSERT INTO "catalog_tombstones" VALUES('33a1738d-bfcc-4195-aad4-372b74473643','workspaces',3);
INSERT INTO "catalog_version" VALUES(3);
INSERT INTO "datasources" VALUES('t_a72f54a73af345969818805fddcb4d79','c840362a-0a6d-4add-8ff8-cf0f2faa9290','events','what happened: it''s ünïcode','`at` DateTime `json:$.at`,
`city` Nullable(String) `json:$.city`','{"engine":"MergeTree","engine_sorting_key":"at"}','["INDEX i city TYPE bloom_filter GRANULARITY 4"]','ndjson',1,'{"team":"growth"}',1.79533648109468936919e+09,1.79533648109468936919e+09,2);
INSERT INTO "tokens" VALUES('58ebc018-f4b0-4d26-b2a8-062e93b786c6','95ab13a0-8d21-492a-aec4-29a9304bc13a','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.79533648108258652689e+09,1);
INSERT INTO "tokens" VALUES('fe7217a8-895f-4d6c-8e17-bfd4f5ce395a','95ab13a0-8d21-492a-aec4-29a9304bc13a','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.79533648108258652689e+09,1);
INSERT INTO "tokens" VALUES('3e77e96c-878d-4097-8a71-beced8a83a12','95ab13a0-8d21-492a-aec4-29a9304bc13a','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.79533648108258652689e+09,1);
INSERT INTO "tokens" VALUES('efdff0ed-a23e-4e38-8e27-4d369b3ef0a0','95ab13a0-8d21-492a-aec4-29a9304bc13a','user local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'user',1.79533648108258652689e+09,1);
INSERT INTO "tokens" VALUES('bbf06f88-d6d7-4e81-97b7-3819e01d0a36','c840362a-0a6d-4add-8ff8-cf0f2faa9290','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.79533648109468936919e+09,2);
INSERT INTO "tokens" VALUES('510f950e-2e09-4c71-bcfc-51211bbdafc3','c840362a-0a6d-4add-8ff8-cf0f2faa9290','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.79533648109468936919e+09,2);
INSERT INTO "tokens" VALUES('e71c217f-93fa-43d4-bd9e-0d343e5e395a','c840362a-0a6d-4add-8ff8-cf0f2faa9290','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.79533648109468936919e+09,2);
INSERT INTO "tokens" VALUES('d2def54a-b53f-446d-9fa0-f5299b4a0306','c840362a-0a6d-4add-8ff8-cf0f2faa9290','reader','','["DATASOURCES:READ:t_a72f54a73af345969818805fddcb4d79:city = ''Bonn''"]','C',NULL,1,NULL,1.79533648109468936919e+09,2);
INSERT INTO "jobs" VALUES('12ba1d3a-b16e-409c-b589-9c7aecd158d4','c840362a-0a6d-4add-8ff8-cf0f2faa9290','import','done','','','t_a72f54a73af345969818805fddcb4d79','events','','','{"url":"http://example.com/x.csv"}','{}','{}','{}',100.0,'','[]','',1,0,'',NULL,1.79533648125097107886e+09,1.79533648126446628567e+09,1.79533648129529428477e+09);
