/* The script of all libraries, with GDBus and what gdbus-codegen makes of the XML. */
#include "davbus.h"
#include <stdio.h>
#include <string.h>

#define NAME "org.davbus.Sync1"
#define ROOT "/org/davbus/Sync1"

static GMainLoop *loop;
static GPtrArray *trace; /* "PATH WHAT" */

static void note(const char *path, const char *what, const char *detail)
{
	g_ptr_array_add(trace, g_strdup_printf("%s %s%s", path, what, detail));
}

static void must(GError *error)
{
	if (error)
		g_error("%s", error->message);
}

static void on_job_state(GObject *job, GParamSpec *spec, gpointer data)
{
	(void)spec, (void)data;
	if (g_str_equal(davbus_job_get_state(DAVBUS_JOB(job)), "done"))
		note(g_dbus_proxy_get_object_path(G_DBUS_PROXY(job)), "done", "");
}

static void on_completed(DavbusJob *job, const char *result, const char *error_name, const char *message, GVariant *report, gpointer data)
{
	(void)error_name, (void)message, (void)report, (void)data;
	note(g_dbus_proxy_get_object_path(G_DBUS_PROXY(job)), "completed:", result);
}

static void on_added(GDBusObjectManager *all, GDBusObject *added, gpointer data)
{
	DavbusJob *job = davbus_object_peek_job(DAVBUS_OBJECT(added));
	(void)all, (void)data;
	if (!job)
		return;
	note(g_dbus_object_get_object_path(added), "added", "");
	g_signal_connect(job, "notify::state", G_CALLBACK(on_job_state), NULL);
	g_signal_connect(job, "completed", G_CALLBACK(on_completed), NULL);
}

static void on_new(DavbusManager *manager, guint id, const char *job, const char *kind, const char *target, gpointer data)
{
	(void)manager, (void)id, (void)kind, (void)target, (void)data;
	note(job, "new", "");
}

static void on_removed(DavbusManager *manager, guint id, const char *job, const char *kind, const char *target, const char *result, gpointer data)
{
	(void)manager, (void)id, (void)kind, (void)target, (void)data;
	note(job, "removed:", result);
	g_main_loop_quit(loop);
}

static void on_reply(GObject *proxy, GAsyncResult *result, gpointer job)
{
	GError *error = NULL;
	if (DAVBUS_IS_MANAGER(proxy))
		davbus_manager_call_sync_finish(DAVBUS_MANAGER(proxy), job, result, &error);
	else
		davbus_conflict_call_resolve_finish(DAVBUS_CONFLICT(proxy), job, NULL, result, &error);
	must(error);
	note(*(char **)job, "reply", "");
}

/* Says what was seen of the job of a call under way, until its end. */
static void follow(const char *title, char **job)
{
	gboolean over = FALSE;
	while (!over) {
		g_main_loop_run(loop);
		for (guint i = 0; *job && i < trace->len; i++) {
			char *removed = g_strconcat(*job, " removed", NULL);
			over |= g_str_has_prefix(trace->pdata[i], removed);
			g_free(removed);
		}
	}
	printf("%s", title);
	for (guint i = 0; i < trace->len; i++)
		if (g_str_has_prefix(trace->pdata[i], *job))
			printf("%s", (char *)trace->pdata[i] + strlen(*job));
	printf("\n");
	g_ptr_array_set_size(trace, 0);
}

static int by_path(gconstpointer a, gconstpointer b)
{
	return strcmp(g_dbus_object_get_object_path((GDBusObject *)a), g_dbus_object_get_object_path((GDBusObject *)b));
}

/* Says what the tree holds besides jobs, and gives the conflict in it. */
static DavbusConflict *look(GDBusObjectManager *all)
{
	DavbusConflict *conflict = NULL;
	GList *objects = g_list_sort(g_dbus_object_manager_get_objects(all), by_path);
	printf("tree");
	for (GList *l = objects; l; l = l->next) {
		DavbusObject *o = DAVBUS_OBJECT(l->data);
		if (davbus_object_peek_conflict(o))
			conflict = davbus_object_get_conflict(o);
		else if (!davbus_object_peek_job(o))
			printf(" %s", g_dbus_object_get_object_path(l->data) + strlen(ROOT));
	}
	printf("\n");
	g_list_free_full(objects, g_object_unref);
	return conflict;
}

static void add(DavbusManager *manager)
{
	GError *error = NULL;
	GVariant *none = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
	const char *ids[] = { "a", "b", NULL };
	char *path;
	for (int i = 0; i < 2; i++) {
		char *folder = g_strconcat("~/", ids[i], NULL);
		GVariant *parameters = g_variant_new_parsed("{'path': <%s>}", folder);
		davbus_manager_call_add_account_sync(manager, ids[i], "vdir", parameters, none, &path, NULL, &error);
		must(error);
		printf("account %s\n", path);
		g_free(path);
		g_free(folder);
	}
	davbus_manager_call_add_group_sync(manager, "home", ids,
		g_variant_new_parsed("{'create-missing': <['b']>, 'interval-sec': <uint32 0>}"), &path, NULL, &error);
	must(error);
	printf("group %s\n", path);
	g_free(path);
	g_variant_unref(none);
}

static void show(DavbusConflict *conflict)
{
	GError *error = NULL;
	GVariant *versions, *details;
	GVariantIter iter;
	const char *member, *text;
	char *lines[3] = { NULL };
	int n = 0;
	printf("conflict %s %s %s\n", davbus_conflict_get_kind(conflict), davbus_conflict_get_item_name(conflict), davbus_conflict_get_state(conflict));
	davbus_conflict_call_get_versions_sync(conflict, g_variant_new("a{sv}", NULL), &versions, &details, NULL, &error);
	must(error);
	g_variant_iter_init(&iter, versions);
	while (n < 2 && g_variant_iter_next(&iter, "{&s&s}", &member, &text)) {
		const char *summary = strstr(text, "SUMMARY:") + strlen("SUMMARY:");
		lines[n++] = g_strdup_printf("%s=%.*s", member, (int)strcspn(summary, "\r"), summary);
	}
	if (n == 2 && strcmp(lines[0], lines[1]) > 0)
		printf("versions %s %s\n", lines[1], lines[0]);
	else
		printf("versions %s %s\n", lines[0], lines[1]);
	g_free(lines[0]);
	g_free(lines[1]);
	g_variant_unref(versions);
	g_variant_unref(details);
}

int main(void)
{
	GError *error = NULL;
	char *job = NULL, *settled = NULL;
	GVariant *left;
	loop = g_main_loop_new(NULL, FALSE);
	trace = g_ptr_array_new_with_free_func(g_free);
	DavbusManager *manager = davbus_manager_proxy_new_for_bus_sync(G_BUS_TYPE_SESSION, 0, NAME, ROOT, NULL, &error);
	must(error);
	GDBusObjectManager *all = davbus_object_manager_client_new_for_bus_sync(G_BUS_TYPE_SESSION, 0, NAME, ROOT, NULL, &error);
	must(error);
	g_signal_connect(all, "object-added", G_CALLBACK(on_added), NULL);
	g_signal_connect(manager, "job-new", G_CALLBACK(on_new), NULL);
	g_signal_connect(manager, "job-removed", G_CALLBACK(on_removed), NULL);
	add(manager);
	davbus_manager_call_sync(manager, "home", g_variant_new("a{sv}", NULL), NULL, on_reply, &job);
	follow("sync", &job);
	DavbusConflict *conflict = look(all);
	show(conflict);
	davbus_conflict_call_resolve(conflict, "member:a/cal", g_variant_new("a{sv}", NULL), NULL, NULL, on_reply, &settled);
	follow("resolve", &settled);
	davbus_manager_call_list_conflicts_sync(manager, "", 0, 10, g_variant_new("a{sv}", NULL), &left, NULL, &error);
	must(error);
	printf("conflicts %d\n", (int)g_variant_n_children(left));
	if (davbus_manager_call_sync_sync(manager, "nosuch", g_variant_new("a{sv}", NULL), NULL, NULL, &error))
		return 1;
	printf("error %s\n", g_dbus_error_get_remote_error(error));
	return 0;
}
