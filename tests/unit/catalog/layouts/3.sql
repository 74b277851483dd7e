CREATE TABLE workspaces (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	"database" TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	limits TEXT DEFAULT '{}' NOT NULL, 
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
	hold TEXT DEFAULT '' NOT NULL, 
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
CREATE TABLE pipes (
	id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	nodes TEXT NOT NULL, 
	endpoint TEXT NOT NULL, 
	copy TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	edited_by TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_pipes PRIMARY KEY (id), 
	CONSTRAINT uq_pipes_workspace_id_name UNIQUE (workspace_id, name), 
	CONSTRAINT fk_pipes_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE TABLE variables (
	id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	sealed TEXT NOT NULL, 
	edited_by TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	changed_version BIGINT NOT NULL, 
	CONSTRAINT pk_variables PRIMARY KEY (id), 
	CONSTRAINT uq_variables_workspace_id_name UNIQUE (workspace_id, name), 
	CONSTRAINT fk_variables_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE TABLE schedules (
	pipe_id TEXT NOT NULL, 
	workspace_id TEXT NOT NULL, 
	cron TEXT NOT NULL, 
	status TEXT NOT NULL, 
	next_at DOUBLE NOT NULL, 
	job_id TEXT NOT NULL, 
	CONSTRAINT pk_schedules PRIMARY KEY (pipe_id), 
	CONSTRAINT fk_schedules_pipe_id FOREIGN KEY(pipe_id) REFERENCES pipes (id) ON DELETE CASCADE, 
	CONSTRAINT fk_schedules_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
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
CREATE INDEX ix_pipes_changed_version ON pipes (changed_version);
CREATE INDEX ix_schedules_next_at ON schedules (next_at);
CREATE INDEX ix_tokens_changed_version ON tokens (changed_version);
CREATE INDEX ix_variables_changed_version ON variables (changed_version);
CREATE INDEX ix_workspaces_changed_version ON workspaces (changed_version);
CREATE UNIQUE INDEX uq_tokens_builtin ON tokens (workspace_id, builtin);
INSERT INTO "workspaces" VALUES('83b642e0-27f8-4896-b6d4-fecf75ac074d','Tinybird_Local_Testing','ws_83b642e027f8',1.795336482739341259e+09,1,'{}');
INSERT INTO "workspaces" VALUES('e7168329-f440-459d-b6b8-84294394331c','acme','ws_e7168329f440',1.79533648276914072038e+09,4,'{"tokens_max":50}');
INSERT INTO "catalog_schema" VALUES(3);
INSERT INTO "catalog_tombstones" VALUES('dbb419c5-f847-4121-87f3-6101d2d3fab4','workspaces',3);
INSERT INTO "catalog_tombstones" VALUES('fe8a4da1-edff-468d-b23b-385c8c12781e','variables',5);
INSERT INTO "catalog_version" VALUES(5);
INSERT INTO "datasources" VALUES('t_1f2ce1dd76a346aeb0e407c298a5387c','e7168329-f440-459d-b6b8-84294394331c','events','what happened: it''s ünïcode','`at` DateTime `json:$.at`,
`city` Nullable(String) `json:$.city`','{"engine":"MergeTree","engine_sorting_key":"at"}','["INDEX i city TYPE bloom_filter GRANULARITY 4"]','ndjson',1,'{"team":"growth"}',1.79533648276914072038e+09,1.79533648276914072038e+09,2,'');
INSERT INTO "datasources" VALUES('t_9a8ea8ca9ab143e3b572eb2d007ada55','e7168329-f440-459d-b6b8-84294394331c','totals','','n UInt64','{}','[]','ndjson',1,'{}',1.79533648303795242313e+09,1.79533648303795242313e+09,4,'');
INSERT INTO "tokens" VALUES('780ed773-6ff1-44e3-9cc4-dc61f4f0a240','83b642e0-27f8-4896-b6d4-fecf75ac074d','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.795336482739341259e+09,1);
INSERT INTO "tokens" VALUES('c6a15715-5c55-4c14-957c-dcb72662478c','83b642e0-27f8-4896-b6d4-fecf75ac074d','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.795336482739341259e+09,1);
INSERT INTO "tokens" VALUES('9a8c4500-e612-49b9-83ab-58a9d6a558f9','83b642e0-27f8-4896-b6d4-fecf75ac074d','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.795336482739341259e+09,1);
INSERT INTO "tokens" VALUES('98b49655-f57d-4444-8d12-1c804adcea31','83b642e0-27f8-4896-b6d4-fecf75ac074d','user local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'user',1.795336482739341259e+09,1);
INSERT INTO "tokens" VALUES('edea9606-fb2a-4f79-9174-0f11f36891b0','e7168329-f440-459d-b6b8-84294394331c','workspace admin token','','["ADMIN"]','T',NULL,1,'workspace_admin',1.79533648276914072038e+09,2);
INSERT INTO "tokens" VALUES('4a8cef0e-fb5a-400f-8a95-70501cc05b76','e7168329-f440-459d-b6b8-84294394331c','admin local_testing@tinybird.co','','["ADMIN_USER"]','T',NULL,1,'admin',1.79533648276914072038e+09,2);
INSERT INTO "tokens" VALUES('e01d19a0-3b6f-464f-a643-7342505f84b6','e7168329-f440-459d-b6b8-84294394331c','create datasource token','','["DATASOURCES:CREATE"]','T',NULL,1,NULL,1.79533648276914072038e+09,2);
INSERT INTO "tokens" VALUES('78294ca9-0bc0-4062-a1d7-e9ac19800ca3','e7168329-f440-459d-b6b8-84294394331c','reader','','["DATASOURCES:READ:t_1f2ce1dd76a346aeb0e407c298a5387c:city = ''Bonn''"]','C',NULL,1,NULL,1.79533648276914072038e+09,2);
INSERT INTO "pipes" VALUES('t_88db0b4018dd4c50a3aaa50c46ade7d6','e7168329-f440-459d-b6b8-84294394331c','report','','[{"id":"t_ed470e41866b4da79cbb3f27f9a09010","name":"counted","sql":"SELECT count() AS n FROM events","description":"","materialized":"","tags":{},"created_at":0.0,"updated_at":0.0}]','','{"node":"t_ed470e41866b4da79cbb3f27f9a09010","target":"t_9a8ea8ca9ab143e3b572eb2d007ada55","mode":"append","cron":"*/5 * * * *","is_paused":false}','{}',2,'me',1.79533648303795242313e+09,1.79533648303795242313e+09,4);
INSERT INTO "variables" VALUES('1435ea65-dfe1-4c3d-b44e-ba00501a7b54','e7168329-f440-459d-b6b8-84294394331c','region','secret','v1:c2VhbGVk','me',1.79533648303795242313e+09,1.79533648303795242313e+09,4);
INSERT INTO "schedules" VALUES('t_88db0b4018dd4c50a3aaa50c46ade7d6','e7168329-f440-459d-b6b8-84294394331c','*/5 * * * *','running',1795336500.0,'');
INSERT INTO "jobs" VALUES('a2b4354f-785e-4f60-b9ca-9d090812835f','e7168329-f440-459d-b6b8-84294394331c','import','done','','','t_1f2ce1dd76a346aeb0e407c298a5387c','events','','','{"url":"http://example.com/x.csv"}','{}','{}','{}',100.0,'','[]','',1,0,'',NULL,1.79533648293470811841e+09,1.7953364829787745476e+09,1.79533648299525904652e+09);
