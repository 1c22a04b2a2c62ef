"""What stands on every page of the site, whatever it shows."""

from __future__ import annotations

from typing import Final

HEAD_LINKS: Final = """<link href="/css/unpkg/leaflet.css?v=1680677942" rel="stylesheet">
<link href="/css/app.min.css?v=1700573875" rel="stylesheet">
<link href="/css/dop.css?v=1701768379" rel="stylesheet">
<script src="/js/libs.min.js?v=1692612456"></script>
<link rel="icon" type="image/png" sizes="32x32" href="/favicon-32x32.png">
<link rel="manifest" href="/site.webmanifest">
<meta name="theme-color" content="#ffffff">
<script>
        var nominatimCountryCode = 'ru';
        var nominatimLang = 'ru';
</script>
"""

HEADER: Final = """<header class="navigation ">
<div class="navigation-menu">
<div class="navigation-menu__top d-flex align-items-center justify-content-between">
<a href="/" class="navigation-menu__logo">
<img src="/img/logo.svg" alt="Pet911.ru" class="logo__img">
</a>
</div>
<div class="navigation-menu__inner">
<a href="/" class="link link-dark navigation-menu__item">Главная</a>
<a href="/catalog" class="link link-dark navigation-menu__item">Каталог</a>
<a href="/faq" class="link link-dark navigation-menu__item">Вопросы-ответы</a>
<a href="/post/platnye-uslugi" class="link link-dark navigation-menu__item">Платные услуги</a>
<a href="/reviews" class="link link-dark navigation-menu__item">Отзывы</a>
</div>
</div>
<div class="d-none d-md-block navigation-main">
<form id="searchFrm" class="navigation-search js-nav-search" action="/catalog" method="get">
<label class="input navigation-search__input">
<input type="text" id="petssearch-address" class="input__field navigation-search__field" \
name="PetsSearch[address]" placeholder="Адрес или номер объявления">
</label>
</form>
<a href="/new-ad" class="btn btn-fill-gold-lt navigation__btn">Создать объявление</a>
<a href="/login" class="navigation-account js-list-item">Войти </a>
</div>
</header>
"""

FOOTER: Final = """<footer class="footer">
<div class="container">
<div class="footer__blocks">
<div class="footer-block">
<div class="footer-block__title">Pet911</div>
<div class="footer-nav">
<ul>
<li><a href="/new-ad">Разместите объявление</a></li>
<li><a href="/post/poleznye-sovety">Полезные советы</a></li>
<li><a href="/reviews">Отзывы</a></li>
</ul>
</div>
</div>
<div class="footer-block">
<div class="footer-block__title">Ускорьте поиск питомца</div>
<div class="footer-nav js-scroll-elements">
<ul>
<li><a href="/post/platnye-uslugi#section-1">Распространите объявление в соцсетях</a></li>
<li><a href="/post/platnye-uslugi#section-4">Оповестите клиники и приюты</a></li>
<li><a href="/post/platnye-uslugi#section-3">Сообщите волонтёрам о пропаже</a></li>
</ul>
</div>
</div>
</div>
</div>
<div class="footer-bottom">
<div class="container">
<div class="footer-bottom__links">
<a href="/cities" class="footer-bottom__link">Пропавшие и найденные животные России</a>
<a href="/animals" class="footer-bottom__link">Животные по породам</a>
<a href="/post/politika-konfidencialnosti" class="footer-bottom__link">Политика</a>
<a href="/post/uslovia-polzovania" class="footer-bottom__link">Условия пользования</a>
</div>
</div>
</div>
</footer>
"""

SCRIPTS: Final = """    function initMap(mapTagId, coords) {
        map = L.map(mapTagId,{ scrollWheelZoom: false });
        marker = L.marker(coords,{ icon: iconSimple, draggable: true }).addTo(map);
        map.panTo(coords);
        return map;
    }
    $(document).on('click', '.show-share-popup', function() {
        $.ajax({ url: '/ajax/pet-share-popup?id=' + $(this).data('id') });
    });
    let check = async (q) => { let source = await fetch("/ajax/check-pet?art=" + q); };
"""

NO_PHOTO_SVG: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 80">\
<rect width="120" height="80" fill="#e8eef0"/><circle cx="60" cy="44" r="16" fill="#b9c8cc"/>\
<circle cx="42" cy="26" r="7" fill="#b9c8cc"/><circle cx="60" cy="19" r="7" fill="#b9c8cc"/>\
<circle cx="78" cy="26" r="7" fill="#b9c8cc"/></svg>"""

ROBOTS_TXT: Final = """User-agent: *
Disallow: /pet/show-phone/
Disallow: /ajax/
Disallow: /login
"""
