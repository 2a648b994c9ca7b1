#include "cli/canvas.h"

#include <math.h>
#include <string.h>

#include <cairo-pdf.h>
#include <cairo-svg.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/macros.h"

#define PNG_SCALE 2.0

enum { PAGE_BYTES = 1 << 28 };

double canvas_text_width(cairo_t *cr, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    return extents.x_advance;
}

void canvas_text(cairo_t *cr, double x, double y, const char *text)
{
    cairo_move_to(cr, x, y);
    cairo_show_text(cr, text);
}

static cairo_status_t collect(void *self, const unsigned char *data,
                              unsigned size)
{
    struct status st = buf_add(self, data, size);

    return status_failed(&st) ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static cairo_t *context_of(cairo_surface_t *surface)
{
    cairo_t *cr = cairo_create(surface);

    cairo_surface_destroy(surface); /* the context holds it */
    cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, CANVAS_LETTER);
    return cr;
}

struct size {
    double width, height;
};

static struct size measure(const struct canvas_page *page)
{
    cairo_t *cr = context_of(
        cairo_recording_surface_create(CAIRO_CONTENT_COLOR_ALPHA, NULL));
    struct size size = { 0 };

    page->measure(page->self, cr, &size.width, &size.height);
    cairo_destroy(cr);
    return size;
}

static cairo_surface_t *svg_surface(struct size size, struct buf *out)
{
    return cairo_svg_surface_create_for_stream(collect, out, size.width,
                                               size.height);
}

static cairo_surface_t *pdf_surface(struct size size, struct buf *out)
{
    return cairo_pdf_surface_create_for_stream(collect, out, size.width,
                                               size.height);
}

static cairo_surface_t *png_surface(struct size size, struct buf *out)
{
    cairo_surface_t *surface = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, (int)ceil(size.width * PNG_SCALE),
        (int)ceil(size.height * PNG_SCALE));

    (void)out;
    cairo_surface_set_device_scale(surface, PNG_SCALE, PNG_SCALE);
    return surface;
}

static const struct form {
    const char *ending;
    cairo_surface_t *(*surface)(struct size size, struct buf *out);
} forms[] = {
    { ".svg", svg_surface },
    { ".pdf", pdf_surface },
    { ".png", png_surface },
};

static const struct form *find_form(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 1; dot != NULL && i < COUNT_OF(forms); i++) {
        if (strcmp(forms[i].ending, dot) == 0)
            return &forms[i];
    }
    return &forms[0];
}

MUST_CHECK static struct status render(const struct canvas_page *page,
                                       const struct form *form, struct buf *out)
{
    cairo_surface_t *surface = form->surface(measure(page), out);
    cairo_t *cr = context_of(cairo_surface_reference(surface));
    cairo_status_t status;

    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_paint(cr);
    cairo_set_source_rgb(cr, 0.0, 0.0, 0.0);
    page->draw(page->self, cr);
    status = cairo_status(cr);
    cairo_destroy(cr);
    if (status == CAIRO_STATUS_SUCCESS && form->surface == png_surface)
        status = cairo_surface_write_to_png_stream(surface, collect, out);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    if (status != CAIRO_STATUS_SUCCESS)
        return FAIL(STATUS_FAILED, "cannot draw: %s",
                    cairo_status_to_string(status));
    return SUCCESS;
}

struct status canvas_write(const struct canvas_page *page, const char *path)
{
    struct buf out;
    struct status st;

    buf_init(&out, PAGE_BYTES);
    st = render(page, find_form(path), &out);
    if (!status_failed(&st))
        st = file_write(path, out.data, out.size);
    buf_release(&out);
    return status_failed(&st) ? status_wrap(st, "%s", path) : SUCCESS;
}
